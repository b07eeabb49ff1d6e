"""Apps, middleware, templates, time and language."""

from __future__ import annotations

from config.environment import BASE_DIR, env

DEBUG: bool = env.bool("DEBUG", False)

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.forms",  # its templates, which ours in templates/django/forms override
    "allauth",
    "allauth.account",
    "django_filters",
    "django_htmx",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "lucide",
    "pghistory",
    "pgtrigger",
    "rest_framework",
    "core.apps.CoreConfig",
    "accounts.apps.AccountsConfig",
    "metering.apps.MeteringConfig",
    "pricing.apps.PricingConfig",
    "billing.apps.BillingConfig",
    "config.apps.ProjectConfig",
]

# Requests below /v1/ pay only for these; see core.middleware.
MIDDLEWARE = [
    "core.middleware.RequestIdMiddleware",
    "core.api.bodies.ChunkedBodyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "allauth.account.middleware.AccountMiddleware",  # thin, and allauth insists on its place here
    "core.middleware.PagesMiddleware",
]
PAGES_MIDDLEWARE = [
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.AuditMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "core.htmx.HtmxMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "core.pages.shell.shell",
            ],
            "builtins": [
                "core.templatetags.charts",
                "core.templatetags.instants",
                "core.templatetags.marks",
                "core.templatetags.money",
                "core.templatetags.quantities",
            ],
        },
    }
]

FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

LANGUAGE_CODE = "en-us"
USE_I18N = False
TIME_ZONE = "UTC"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = False
DATA_UPLOAD_MAX_MEMORY_SIZE = None  # the API's own reader bounds bodies, with the API's own error
