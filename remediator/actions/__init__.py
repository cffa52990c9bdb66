"""What the remediator can do to a system: one file per system, ACTIONS is the one table.

Rule: an action is reachable only through this table and only on a key of the topology.
"""

from collections.abc import Mapping

from remediator.actions.certificates import InstallCertificate, InstallCertificateParams
from remediator.actions.clients import ActionType, Clients, action_type
from remediator.actions.colours import StartColour, StartColourParams
from remediator.actions.compose import ComposeUp, ComposeUpParams
from remediator.actions.database.check import CheckDatabase, CheckDatabaseParams
from remediator.actions.database.reindex import ReindexConcurrently, ReindexConcurrentlyParams
from remediator.actions.database.swap import RestoreBackup, RestoreBackupParams
from remediator.actions.database.vacuum import VacuumAnalyze, VacuumAnalyzeParams
from remediator.actions.database.verify import VerifyBackup, VerifyBackupParams
from remediator.actions.diagnosis import FindHog, FindHogParams
from remediator.actions.docker import (
    RestartDatabase,
    RestartDatabaseParams,
    RestartService,
    RestartServiceParams,
)
from remediator.actions.images import PruneImages, PruneImagesParams
from remediator.actions.logfiles import PruneLogs, PruneLogsParams
from remediator.actions.maintenance import (
    MaintenanceOff,
    MaintenanceOffParams,
    MaintenanceOn,
    MaintenanceOnParams,
)
from remediator.actions.nginx import SwitchColour, SwitchColourParams
from remediator.actions.redis import FlushDb, FlushDbParams, FlushKeys, FlushKeysParams
from remediator.actions.reload import ReloadNginx, ReloadNginxParams
from remediator.actions.restarts import RestartServices, RestartServicesParams
from remediator.actions.warmer import WarmCache, WarmCacheParams

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
    "find_hog": action_type(FindHogParams, FindHog),
    "restart_services": action_type(RestartServicesParams, RestartServices),
    "warm_cache": action_type(WarmCacheParams, WarmCache),
    "reload_nginx": action_type(ReloadNginxParams, ReloadNginx),
    "install_certificate": action_type(InstallCertificateParams, InstallCertificate),
    "maintenance_on": action_type(MaintenanceOnParams, MaintenanceOn),
    "maintenance_off": action_type(MaintenanceOffParams, MaintenanceOff),
    "prune_images": action_type(PruneImagesParams, PruneImages),
    "prune_logs": action_type(PruneLogsParams, PruneLogs),
}
