"""Drift: does what arrives still look like what the live index version was built for?

At promotion a `Reference` remembers the content, and soon after it another one the queries. Each window of new chunks,
or of queries, is compared with its own by one statistic a file, all of them calibrated by exchanging whole documents,
and `verdict` makes one decision of them.

Legend of shapes: `n` texts, `m` documents, `d` dimensions, `k` centroids, `p` permutations.
"""
