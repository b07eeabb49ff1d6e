"""Django's settings, one concern a file. What an environment variable changes, its file says."""

from __future__ import annotations

from config.settings.api import *
from config.settings.base import *
from config.settings.database import *
from config.settings.demo import *
from config.settings.gateway import *
from config.settings.logs import *
from config.settings.metering import *
from config.settings.navigation import *
from config.settings.pages import *
from config.settings.pricing import *
from config.settings.queue import *
from config.settings.reconciliation import *
from config.settings.security import *
