"""``polyvox teams``: the parts of organisations at a running gateway."""

from polyvox.cli.tenant_commands import Tenants, tenant_commands

__all__ = ["command"]

command = tenant_commands(
    Tenants(
        all="teams",
        path="/admin/organisations/{}/teams",
        about="Make, find, change and delete the parts of organisations at a gateway.",
    )
)
