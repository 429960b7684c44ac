"""The DeliveryWorker: takes every durable answer to its channel until nothing is owed.

worker    `DeliveryWorker`: waits, sends, and asks `agentd.delivery` what to do next
sending   one send within its limits, its end as a value
ledger    writes what became of a send, and tells the bus
"""

from workers.delivery.worker import DeliveryWorker

__all__ = ["DeliveryWorker"]
