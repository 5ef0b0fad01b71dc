"""Builds a release and deploys it: plain Python without Airflow, so that it runs on a build machine too."""
