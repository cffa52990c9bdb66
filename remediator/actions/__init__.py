"""What the remediator can do to a system: one file per system, ACTIONS is the one table.

Rule: an action is reachable only through this table and only on a key of the topology.
"""

from collections.abc import Mapping

from remediator.actions.clients import ActionType, Clients, action_type
from remediator.actions.colours import StartColour, StartColourParams
from remediator.actions.compose import ComposeUp, ComposeUpParams
from remediator.actions.database.check import CheckDatabase, CheckDatabaseParams
from remediator.actions.database.reindex import ReindexConcurrently, ReindexConcurrentlyParams
from remediator.actions.database.swap import RestoreBackup, RestoreBackupParams
from remediator.actions.database.vacuum import VacuumAnalyze, VacuumAnalyzeParams
from remediator.actions.database.verify import VerifyBackup, VerifyBackupParams
from remediator.actions.docker import (
    RestartDatabase,
    RestartDatabaseParams,
    RestartService,
    RestartServiceParams,
)
from remediator.actions.nginx import SwitchColour, SwitchColourParams
from remediator.actions.redis import FlushDb, FlushDbParams, FlushKeys, FlushKeysParams

__all__ = ["ACTIONS", "ActionType", "Clients"]

ACTIONS: Mapping[str, ActionType] = {
    "restart_service": action_type(RestartServiceParams, RestartService),
    "restart_database": action_type(RestartDatabaseParams, RestartDatabase),
    "flush_keys": action_type(FlushKeysParams, FlushKeys),
    "flush_db": action_type(FlushDbParams, FlushDb),
    "start_colour": action_type(StartColourParams, StartColour),
    "compose_up": action_type(ComposeUpParams, ComposeUp),
    "switch_colour": action_type(SwitchColourParams, SwitchColour),
    "check_database": action_type(CheckDatabaseParams, CheckDatabase),
    "vacuum_analyze": action_type(VacuumAnalyzeParams, VacuumAnalyze),
    "reindex_concurrently": action_type(ReindexConcurrentlyParams, ReindexConcurrently),
    "verify_backup": action_type(VerifyBackupParams, VerifyBackup),
    "restore_backup": action_type(RestoreBackupParams, RestoreBackup),
}
