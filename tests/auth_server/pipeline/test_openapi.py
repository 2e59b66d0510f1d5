"""The OpenAPI document says what the routes do."""

import pytest

from auth_contract import paths
from auth_contract.actions import Action, Reason
from auth_server.errors import KioskRefused
from auth_server.openapi import openapi_document
from auth_server.policy import POLICY
from auth_server.signature_form import SignedHeaders, read_form


def test_it_describes_every_route_of_the_application_and_no_other(site):
    served = {rule.rule for rule in site.client.application.url_map.iter_rules()}
    assert set(openapi_document()["paths"]) == served


def test_it_is_served_as_it_is(site):
    assert site.client.get(paths.OPENAPI).json == openapi_document()


def test_it_lists_every_reason(site):
    schemas = openapi_document()["components"]["schemas"]
    assert set(schemas["Reason"]["enum"]) == set(Reason)


@pytest.mark.parametrize("path", [paths.ATTEMPTS, paths.LOGIN, paths.HEARTBEAT])
def test_what_a_route_answers_to_bad_requests_is_listed(site, path):
    listed = openapi_document()["paths"][path]["post"]["responses"]
    seen = {
        site.client.post(path + "/more").status_code,
        site.client.put(path).status_code,
        site.client.post(path, data="x", content_type="text/plain").status_code,
    }
    assert seen == {404, 405, 401}
    assert {str(status) for status in seen} <= set(listed)
    assert "415" not in listed


@pytest.mark.parametrize("path", [paths.JWKS, paths.OPENAPI])
def test_what_a_document_answers_to_another_method_is_listed(site, path):
    assert site.client.post(path).status_code == 405
    assert "405" in openapi_document()["paths"][path]["get"]["responses"]


def test_a_header_may_be_as_long_as_the_server_reads_it():
    for parameter in openapi_document()["paths"][paths.LOGIN]["post"]["parameters"]:
        longest = parameter["schema"]["maxLength"]
        named = [(name, "x") for name in ("Content-Type", "Signature-Input", "Signature", "Content-Digest")]
        for length, is_too_long in ((longest, False), (longest + 1, True)):
            headers = [(name, "x" * length if name == parameter["name"] else value) for name, value in named]
            with pytest.raises(KioskRefused) as refusal:
                read_form(SignedHeaders("POST", paths.LOGIN, headers))
            assert ("printable ASCII" in refusal.value.why) == is_too_long


def test_every_action_has_a_policy_row_and_a_path():
    assert set(POLICY) == set(Action) == set(paths.SUBMISSION)


def test_schemathesis_finds_no_server_error(site):
    """Every generated request, signed or not, is answered below 500 and as the document says."""
    import schemathesis
    from hypothesis import HealthCheck, given, settings

    schema = schemathesis.openapi.from_wsgi(paths.OPENAPI, site.client.application)
    seen = []

    for operation in schema.get_all_operations():
        api_operation = operation.ok()

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=api_operation.as_strategy())
        def probe(case):
            reply = case.call()
            assert reply.status_code < 500
            seen.append(reply.status_code)

        probe()
    assert set(seen) >= {200, 401}
