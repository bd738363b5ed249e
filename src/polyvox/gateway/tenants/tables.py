"""The tables of tenants. An object is a document; beside it stand the columns by which it is found."""

from sqlalchemy import BigInteger, Column, Double, Index, LargeBinary, Table, Text

from polyvox.gateway.database.metadata import METADATA, PlainText

__all__ = ["end_users", "key_secrets", "keys", "organisations", "provider_keys", "teams"]

organisations = Table(
    "organisations",
    METADATA,
    Column("name", PlainText, primary_key=True),
    Column("document", Text, nullable=False),
)

teams = Table(
    "teams",
    METADATA,
    Column("organisation", PlainText, primary_key=True),
    Column("name", PlainText, primary_key=True),
    Column("document", Text, nullable=False),
)

keys = Table(
    "keys",
    METADATA,
    Column("id", PlainText, primary_key=True),
    Column("organisation", PlainText, nullable=False),
    Column("team", PlainText, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
)
"""``version`` is the number of "tenants" when the key was made: others read the new ones by it."""

Index("ix_keys_organisation_team", keys.c.organisation, keys.c.team)
Index("ix_keys_version", keys.c.version)

key_secrets = Table(
    "key_secrets",
    METADATA,
    Column("digest", LargeBinary, primary_key=True),
    Column("key", PlainText, nullable=False),
    Column("until", Double),
)
"""The SHA-256 of each secret that a key has or had; ``until`` is how long one that was replaced works."""

Index("ix_key_secrets_key", key_secrets.c.key)

end_users = Table(
    "end_users",
    METADATA,
    Column("organisation", PlainText, primary_key=True),
    Column("name", PlainText, primary_key=True),
    Column("document", Text, nullable=False),
)

provider_keys = Table(
    "provider_keys",
    METADATA,
    Column("name", PlainText, primary_key=True),
    Column("document", Text, nullable=False),
)
