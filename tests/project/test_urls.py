"""The project's addresses: the console, the admin, a way in at the root."""

from __future__ import annotations

from django.test import Client


def test_the_root_leads_to_the_console(client: Client) -> None:
    response = client.get("/")
    assert response.status_code == 302
    assert response["Location"] == "/console/"


def test_the_admin_wears_the_colours_of_the_console(admin_client: Client) -> None:
    page = admin_client.get("/admin/").content.decode()
    assert "--primary: #0b6e99" in page
    assert '<a href="/console/">stompconsole</a>' in page


def test_the_log_in_page_works_for_strangers(client: Client, db: None) -> None:
    assert client.get("/admin/login/").status_code == 200
