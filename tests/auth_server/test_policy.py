"""Which factors an action needs: the whole table, and that a site can add to it and take nothing away."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from auth_contract.actions import Action
from auth_contract.messages import SUBMISSIONS
from auth_server.action_settings import ActionsSettings
from auth_server.domain import Factor
from auth_server.policy import POLICY, RECOVERIES, ActionPolicy, Counting, Effect, addable, tightened

PERSON = {Factor.PASSWORD, Factor.TOTP, Factor.FACE}
PLACE = {Factor.DEVICE, Factor.CLOCK}
OWN, ANYWHERE = Counting.OWN_KIOSKS, Counting.ANYWHERE

TABLE = {
    Action.LOGIN: (PERSON | PLACE, Effect.LET_IN, OWN),
    Action.REGISTER: ({Factor.PERMISSION, Factor.KIOSK, Factor.NEW_FACE}, Effect.CHANGE, Counting.REGISTRATIONS),
    Action.RECOVER_TOTP: (PERSON - {Factor.TOTP} | PLACE, Effect.CHANGE, OWN),
    Action.RECOVER_PASSWORD: (PERSON - {Factor.PASSWORD} | PLACE, Effect.CHANGE, OWN),
    Action.RECOVER_FACE: (PERSON - {Factor.FACE} | PLACE | {Factor.NEW_FACE}, Effect.CHANGE, OWN),
    Action.UPDATE_MAC: (PERSON | {Factor.KIOSK, Factor.CLOCK}, Effect.CHANGE, ANYWHERE),
    Action.CONFIRM: ({Factor.NEW_TOTP, Factor.KIOSK, Factor.CLOCK}, Effect.CONFIRM, Counting.TRIES),
    Action.APPROVE: (PERSON | PLACE | {Factor.SUPERVISOR}, Effect.APPROVE, OWN),
    Action.CANCEL: ({Factor.PASSWORD, Factor.TOTP, Factor.KIOSK, Factor.CLOCK}, Effect.CANCEL, ANYWHERE),
}
ADDABLE = {
    Action.REGISTER: {Factor.CLOCK},
    Action.UPDATE_MAC: {Factor.DEVICE},
    Action.CANCEL: {Factor.DEVICE},
}


@pytest.mark.parametrize("action", Action)
def test_the_whole_table(action: Action):
    factors, effect, counting = TABLE[action]
    policy = POLICY[action]
    assert (set(policy.factors), policy.effect, policy.counting) == (factors, effect, counting)
    assert len(policy.factors) == len(factors), "each factor once"
    assert policy.is_enabled and not policy.second_person and policy.cooling_off_s == 0


def test_every_action_has_a_row_and_a_message():
    assert set(POLICY) == set(Action) == set(SUBMISSIONS)


@pytest.mark.parametrize("action", RECOVERIES)
def test_a_recovery_asks_for_every_factor_but_the_one_that_it_replaces(action: Action):
    replaced = {
        Action.RECOVER_TOTP: Factor.TOTP,
        Action.RECOVER_PASSWORD: Factor.PASSWORD,
        Action.RECOVER_FACE: Factor.FACE,
        Action.UPDATE_MAC: Factor.DEVICE,
    }[action]
    assert set(POLICY[action].factors) & (PERSON | PLACE) == (PERSON | PLACE) - {replaced}


@pytest.mark.parametrize("action", Action)
def test_failures_are_forgotten_only_by_who_showed_all_factors(action: Action):
    assert POLICY[action].clears_failures is (PERSON | PLACE <= set(POLICY[action].factors))
    assert POLICY[action].clears_failures is (action in {Action.LOGIN, Action.APPROVE})


@pytest.mark.parametrize("action", Action)
def test_only_what_needs_no_own_kiosk_counts_anywhere(action: Action):
    policy = POLICY[action]
    if policy.has_account:
        assert (policy.counting is ANYWHERE) is (Factor.DEVICE not in policy.factors)


@pytest.mark.parametrize("action", Action)
def test_what_a_site_may_add_is_what_the_message_carries_anyway(action: Action):
    assert addable(action) == ADDABLE.get(action, set())


class TestTightened:
    """A site's row has all of the table's factors, whatever it asks for."""

    @given(st.sampled_from(list(Action)), st.lists(st.sampled_from(list(Factor)), max_size=4))
    def test_nothing_is_ever_taken_away(self, action: Action, also: list[Factor]):
        try:
            policy = tightened(action, tuple(also))
        except ValueError:
            assert set(also) - addable(action)
            return
        assert set(policy.factors) == set(POLICY[action].factors) | set(also)
        assert len(policy.factors) == len(set(policy.factors))
        unchanged = [field.name for field in fields(ActionPolicy) if field.name != "factors"]
        assert all(getattr(policy, name) == getattr(POLICY[action], name) for name in unchanged)

    @pytest.mark.parametrize(
        ("action", "factor", "possible"),
        [
            (Action.LOGIN, Factor.FACE, "none"),
            (Action.CANCEL, Factor.FACE, "device"),
            (Action.REGISTER, Factor.DEVICE, "clock"),
            (Action.RECOVER_TOTP, Factor.TOTP, "none"),
        ],
    )
    def test_a_factor_that_cannot_be_added_is_refused_with_those_that_can(self, action, factor, possible):
        with pytest.raises(ValueError, match=f"cannot be added to {action.value}: possible are {possible}"):
            tightened(action, (factor,))


class TestSettings:
    """`[actions.*]` of the settings file."""

    def test_without_a_word_the_policies_are_the_table_with_a_window_for_recoveries(self):
        policies = ActionsSettings().policies()
        assert set(policies) == set(Action)
        for action, policy in policies.items():
            assert policy.approval_window_s == (900 if action in RECOVERIES else 0)
            assert (policy.factors, policy.effect, policy.counting) == (
                POLICY[action].factors,
                POLICY[action].effect,
                POLICY[action].counting,
            )
            assert policy.is_enabled and not policy.second_person and not policy.cooling_off_s

    def test_each_action_can_be_tightened_by_its_own_section(self):
        read = ActionsSettings.model_validate(
            {
                "update_mac": {"also": ["device"], "second_person": True, "cooling_off_s": 60},
                "register": {"enabled": False, "also": ["clock"]},
            }
        ).policies()
        moved, registered = read[Action.UPDATE_MAC], read[Action.REGISTER]
        assert Factor.DEVICE in moved.factors and moved.second_person and moved.cooling_off_s == 60
        assert Factor.CLOCK in registered.factors and not registered.is_enabled
        assert read[Action.RECOVER_FACE].is_enabled and not read[Action.RECOVER_FACE].second_person

    @pytest.mark.parametrize(
        ("section", "message"),
        [
            ({"login": {"enabled": False}}, "Input should be True"),
            ({"confirm": {"enabled": False}}, "Input should be True"),
            ({"login": {"factors": ["password"]}}, "Extra inputs are not permitted"),
            ({"login": {"also": ["nothing"]}}, "Input should be"),
            ({"cancel": {"also": ["face"]}}, "face cannot be added to cancel: possible are device"),
            ({"login": {"second_person": True}}, "Extra inputs are not permitted"),
            ({"register": {"cooling_off_s": 5}}, "Extra inputs are not permitted"),
            ({"recover_face": {"cooling_off_s": -1}}, "greater than or equal to 0"),
            ({"recover_face": {"cooling_off_s": 30 * 86_400 + 1}}, "less than or equal to 2592000"),
            ({"recover_face": {"approval_window_s": 59}}, "greater than or equal to 60"),
            ({"recover": {}}, "Extra inputs are not permitted"),
            (
                {"recover_face": {"second_person": True}, "approve": {"enabled": False}},
                "recover_face needs a second person, and approve.enabled = false lets nobody be one",
            ),
        ],
        ids=str,
    )
    def test_refused(self, section, message):
        with pytest.raises(ValidationError, match=message):
            ActionsSettings.model_validate(section)
