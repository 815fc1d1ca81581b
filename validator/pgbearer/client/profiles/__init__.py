"""What a person's or a job's own file says of issuers, logins and token sources: each under a name."""

from pgbearer.client.profiles.build import Manner, login_of_profile, source_of_profile
from pgbearer.client.profiles.file import ClientFile, ProfilesError, client_file_path, load_client_file
from pgbearer.client.profiles.named import ProfileArguments, profile_arguments, profile_source
from pgbearer.client.profiles.profile import Profile
from pgbearer.client.profiles.upstream import Pin, UpstreamSettings

__all__ = [
    "ClientFile",
    "Manner",
    "Pin",
    "Profile",
    "ProfileArguments",
    "ProfilesError",
    "UpstreamSettings",
    "client_file_path",
    "load_client_file",
    "login_of_profile",
    "profile_arguments",
    "profile_source",
    "source_of_profile",
]
