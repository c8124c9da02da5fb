"""URLs of the project form: the console, the admin, and a way in at the root."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="stompconsole:overview")),
    path("console/", include("stompconsole.urls")),
    path("admin/", admin.site.urls),
]
