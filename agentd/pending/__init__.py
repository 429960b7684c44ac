"""The pending directory: one file per unfinished turn, the only place where unfinished work lives.

directory  `PendingDirectory`, what the event loop sees: moves, index, dead letters
changes    what each move changes, on the disk and in memory
order      which move waits for which, and what is done before and after its work
threads    where the work is done
moves the moves on the disk, safe to be cut off at any operation
health     what the event loop knows of the disk, and when it is tried again
disk       whether the disk takes writes, and the space kept for turns that already run
file       the form of an event's file: a sealed header, then the event
log        the lines beside an event, and what all of them together mean
index      what is pending, in memory
recovery   what a start finds, made whole
dead       the dead letters as they lie on the disk
"""

from agentd.pending.directory import PendingDirectory

__all__ = ["PendingDirectory"]
