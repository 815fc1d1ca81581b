"""pgbearer.yaml to typed settings, with every problem at once."""

from pgbearer.config.loader import Checked, Loaded, load
from pgbearer.config.problems import ConfigError, KeyPath, Problem, did_you_mean, render_path
from pgbearer.config.settings import Issuer, Rule, RuleSession, Section, Server, Session, Settings
from pgbearer.config.template import Template, TemplateError, parse_template

__all__ = [
    "Checked",
    "ConfigError",
    "Issuer",
    "KeyPath",
    "Loaded",
    "Problem",
    "Rule",
    "RuleSession",
    "Section",
    "Server",
    "Session",
    "Settings",
    "Template",
    "TemplateError",
    "did_you_mean",
    "load",
    "parse_template",
    "render_path",
]
