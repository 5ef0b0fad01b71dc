"""The whole stack on one machine: the lab server, Airflow's processes, their database and their state directory."""
