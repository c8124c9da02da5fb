"""Trying today's handlers on dead letters: what would become of them, with nothing kept of what the handlers write.

``choosing`` makes the rows of a trial, ``engine`` carries it out in a worker, with ``process`` holding a child process
at arm's length. In that child ``nursery`` forks once for each dead letter; the fork calls the handler (``attempt``) in
transactions that are never committed (``uncommitted``) and ends. Refuses to settle, send or change any dead letter.
"""
