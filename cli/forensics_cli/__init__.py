"""The command ``forensics``: cases from a terminal, by Airflow's REST API and the product's own."""

__version__ = "1.0.0"
