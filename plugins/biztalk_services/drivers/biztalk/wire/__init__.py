"""The wire: the BizTalk Services management API over HTTPS and XML. Knows no Airflow."""
