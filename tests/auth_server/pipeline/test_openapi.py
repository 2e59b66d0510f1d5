"""The OpenAPI document says what the routes do."""

from auth_contract import paths
from auth_contract.actions import Action, Reason
from auth_server.openapi import openapi_document
from auth_server.policy import POLICY


def test_it_describes_every_route_of_the_application_and_no_other(site):
    served = {rule.rule for rule in site.client.application.url_map.iter_rules()}
    assert set(openapi_document()["paths"]) == served


def test_it_is_served_as_it_is(site):
    assert site.client.get(paths.OPENAPI).json == openapi_document()


def test_it_lists_every_reason(site):
    schemas = openapi_document()["components"]["schemas"]
    assert set(schemas["Reason"]["enum"]) == set(Reason)


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
