"""pgbearer.yaml to typed settings, with every problem at once."""

from pgbearer.config.checks import EDITABLE_CLAIMS
from pgbearer.config.loader import Checked, Loaded, Origin, load
from pgbearer.config.patterns import all_within, covers, within
from pgbearer.config.problems import ConfigError, KeyPath, Problem, did_you_mean, render_path
from pgbearer.config.rules import FileLimits, PolicyFile, Rule, RuleSession
from pgbearer.config.section import Section
from pgbearer.config.settings import Issuer, Server, Session, Settings
from pgbearer.config.sources import FOLDER, look, read_fingerprint
from pgbearer.config.template import Template, TemplateError, parse_template

__all__ = [
    "EDITABLE_CLAIMS",
    "FOLDER",
    "Checked",
    "ConfigError",
    "FileLimits",
    "Issuer",
    "KeyPath",
    "Loaded",
    "Origin",
    "PolicyFile",
    "Problem",
    "Rule",
    "RuleSession",
    "Section",
    "Server",
    "Session",
    "Settings",
    "Template",
    "TemplateError",
    "all_within",
    "covers",
    "did_you_mean",
    "load",
    "look",
    "parse_template",
    "read_fingerprint",
    "render_path",
    "within",
]
