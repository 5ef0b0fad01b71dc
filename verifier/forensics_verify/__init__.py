"""Checks an exported case bundle. Needs Python and ``cryptography``: no AWS, no network, no Airflow."""

__version__ = "1.1.0"
