"""The Celery worker: ids -> pictures -> predictions -> rows."""
