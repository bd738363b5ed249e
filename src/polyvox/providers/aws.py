"""Signing for Amazon's services, with the credentials that every AWS tool finds.

Those of the environment, of profiles and their files, of single sign-on, of a container or an
instance, by way of botocore (the extra ``bedrock``), which also makes the signature: "AWS Signature
Version 4" in AWS's documentation.
"""

import asyncio
import re
import sys
import threading
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from polyvox.errors import AuthenticationError, ConfigurationError, MissingKeyError
from polyvox.http import HttpRequest

__all__ = ["AwsSigner"]

_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_HOST = re.compile(r"[\w-]+\.([a-z]{2,}(?:-[a-z0-9]+)+)\.(?:amazonaws\.com|api\.aws)(?:\.[a-z]+)?")
_SERVICE = "bedrock"


class AwsSigner:
    """A ``polyvox.http.Signer``: looks for credentials with the first request, renews them when due.

    Looking and renewing may ask files, programs and servers, so that all of it happens in a thread.
    It may be used from several event loops at once.

    Args:
        environ: where credentials, profile and region are looked up first.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._lock = threading.Lock()
        self._credentials: Any = None
        self._region: str | None = None

    def check_installed(self) -> None:
        """Raises ``ConfigurationError`` when botocore is not there; imports nothing."""
        if "botocore" not in sys.modules and find_spec("botocore") is None:
            raise ConfigurationError(
                "signing with AWS credentials needs botocore, which is not installed",
                hint="Install it with: pip install 'polyvox[bedrock]'. Or set"
                " AWS_BEARER_TOKEN_BEDROCK to an API key for Amazon Bedrock, which needs no signing.",
            )

    def environ(self) -> Mapping[str, str]:
        """The environment, with the profile's region where it names none itself."""
        if any(self._environ.get(name) for name in _REGIONS):
            return self._environ
        region = self._profile_region()
        return {**self._environ, _REGIONS[0]: region} if region else self._environ

    async def sign(self, request: HttpRequest) -> HttpRequest:
        """The request with its signature.

        Raises ``MissingKeyError`` when there are no credentials, ``AuthenticationError`` when they
        can't be had, ``ConfigurationError`` when the region is not known.
        """
        try:
            return await asyncio.to_thread(self._signed, request)
        except _botocore("exceptions").BotoCoreError as error:
            raise AuthenticationError(
                f"no AWS credentials can be had: {error}",
                hint="Check the profile, or log in again: aws sso login.",
            ) from None

    def _signed(self, request: HttpRequest) -> HttpRequest:
        with self._lock:
            if self._credentials is None:
                self._credentials = self._found()
        frozen = self._credentials.get_frozen_credentials()
        awsrequest = _botocore("awsrequest").AWSRequest
        signed = awsrequest(request.method, request.url, request.headers, request.body)
        region = self._region_of(request.url)
        _botocore("auth").SigV4Auth(frozen, _SERVICE, region).add_auth(signed)
        headers: dict[str, str] = {name.lower(): value for name, value in signed.headers.items()}
        return replace(request, headers=headers)

    def _found(self) -> Any:
        own = _botocore("credentials").EnvProvider(self._environ)
        credentials = own.load()
        if credentials is None:
            session = self._session()
            session.get_component("credential_provider").remove(own.METHOD)
            credentials = session.get_credentials()
        if credentials is None:
            raise MissingKeyError(
                "there are no AWS credentials",
                hint="Set AWS_BEARER_TOKEN_BEDROCK, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
                " or AWS_PROFILE to a profile that has some.",
            )
        return credentials

    def _region_of(self, url: str) -> str:
        """The region that the address names, else the environment's or the profile's."""
        named = _HOST.fullmatch(urlsplit(url).hostname or "")
        environ = self.environ()
        found = (environ.get(name) for name in _REGIONS)
        region = named[1] if named else next((each for each in found if each), None)
        if region is None:
            raise ConfigurationError(
                "the AWS region is not known", hint="Set AWS_REGION, such as AWS_REGION=us-east-1."
            )
        return region

    def _profile_region(self) -> str | None:
        if self._region is None and find_spec("botocore") is not None:
            try:
                self._region = self._session().get_config_variable("region") or ""
            except _botocore("exceptions").ProfileNotFound:  # asking for credentials says so too
                self._region = ""
        return self._region or None

    def _session(self) -> Any:
        return _botocore("session").Session(profile=self._environ.get("AWS_PROFILE"))


def _botocore(module: str) -> Any:
    """A module of botocore, imported late and without types of its own."""
    return import_module(f"botocore.{module}")
