"""Clients of the BizTalk Services APIs over HTTPS. Independent of Airflow."""
