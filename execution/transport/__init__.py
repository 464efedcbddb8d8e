"""Ways to a terminal, and the client that keeps one reachable: deadlines, queue, health.

Other rooms import ``client`` and the types of ``backend``, ``traits``, ``registry``, ``clock`` and
``health``; it imports ``api``, and the paper terminal only when that is opened.
"""
