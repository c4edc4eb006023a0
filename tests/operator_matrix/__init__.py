"""One program under every operator, Open MPI, user, key path and fsGroup; see __main__.py."""
