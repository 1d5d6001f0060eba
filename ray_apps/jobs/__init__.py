"""Batch jobs, each started as a module by Ray's job API."""
