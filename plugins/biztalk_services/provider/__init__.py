"""Airflow's wing: the only package that imports Airflow."""
