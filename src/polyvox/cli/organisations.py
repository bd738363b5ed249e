"""``polyvox organisations``: whom the keys of a running gateway belong to."""

from polyvox.cli.tenant_commands import Tenants, tenant_commands

__all__ = ["command"]

command = tenant_commands(
    Tenants(
        all="organisations",
        path="/admin/organisations",
        about="Make, find, change and delete whom the keys of a gateway belong to.",
        within=False,
    )
)
