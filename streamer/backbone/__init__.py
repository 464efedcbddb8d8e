"""A backbone: carries one feed's events to any number of nodes through a store.

A feed imports ``publisher`` and ``settings``, a node ``source``, a command line ``address``;
``model`` has the types and errors that pass between the parts.
"""
