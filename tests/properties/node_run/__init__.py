# SPDX-License-Identifier: Apache-2.0
"""
A model of the node run: the real agent and the real server in one process, in a world that goes wrong on purpose.

Real are, on the node, the attending loop and the waiting program, journal, outbox, disk, locks, client, worker, steps, patch run
and tasks; on the server the gateway and the rooms below it, on SQLite. The world is made up: clock, processes, network, package
manager, boots, power. Faults strike by script (`script.py`): a process is killed before, in or after any durable write, at any
message, between two packages, at any second; the power goes, and with it what was not synced; requests and answers are lost,
late, and come twice, messages come again long after; the server is killed at any transaction; disks are full, repositories
unreachable, offers and packages change meanwhile, commands are cancelled and time out.

What must hold (`truth.py`, `seams.py`):

1. Nothing runs twice. A task whose result was written is not done again; nothing is done for a command whose last word is
   journalled; two processes never install at a time; a command has one operation, and restarts the node at most once, in the
   boot in which the server wants it.
2. Nothing finished is lost. What the agent journalled as a command's last word is what the server has; what has ended on the
   server does not change.
3. Every run ends: soon after the last fault nothing is in progress on either side, and a Scan then ends well.
4. The report is the package database: states of every finished operation are those of the node at the moment of its facts,
   worked out anew; Success is said only where they agree; the live verdict speaks of the newest facts; the closing Scan
   and the live verdict agree with the node as it is.

What may differ, and why:

* A command that was not begun, or held up, until its time ran out ends DeliveryTimedOut, whatever the agent says later. What it
  does on the node after that is not undone, and shows in the live verdict.
* A package counts as waiting for a restart though it is in force, where its installation was interrupted by one, or where somebody
  else had installed an open plan's very version: the server knows the boot in which a plan ended, not that of each package.
* A restart may be asked for more than once in one boot (refused, ignored, or the agent was killed over it): the node
  restarts once.
* A request that has not reached the server when the node's power goes never does: its connection went with the node. (A copy of
  one that has may still come.) Facts have no order of their own that would tell the server that such a one is old.
* Scan says Missing where Install says Failed, and the live verdict may know the reason or not.
"""
