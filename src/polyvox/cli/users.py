"""``polyvox users``: the end users of organisations at a running gateway."""

from polyvox.cli.tenant_commands import Tenants, tenant_commands

__all__ = ["command"]

command = tenant_commands(
    Tenants(
        all="users",
        path="/admin/organisations/{}/end_users",
        about="Limit and block the end users of organisations: whom calls name. '*' is each other one.",
        has_models=False,
    )
)
