"""The MetaTrader 5 API as it is: functions, structs, constants, return codes. Imports no room.

Every room of execution and strategy may import from here.
"""
