"""The library: all that Quarry knows about documents, vectors, indexes and answers. No Airflow, Ray or MLflow here."""
