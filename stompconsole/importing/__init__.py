"""From the ``pubsub`` lines of a deployment to consumers: the files are read, the rows planned, then created."""
