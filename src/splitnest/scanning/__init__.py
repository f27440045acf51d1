"""Prediction over data sets of any size: shards, claims, one Parquet file for each shard."""
