"""Which tests show each of the acceptance scenarios of the ontap driver; paths are under this driver's tests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parents[1]
ROOT: Final = HERE.parents[2]

SCENARIOS: Final = {
    "1 releases": "scenarios/test_transport.py::test_each_release_is_asked_for_what_it_knows scenarios/test_transport.py::test_an_older_release_is_refused_after_one_question",
    "2 TLS": "scenarios/test_transport.py::test_an_expired_certificate_is_refused_before_anything_is_said test_client.py::test_a_certificate_of_another_authority_is_refused test_client.py::test_a_certificate_of_another_name_is_refused_before_anything_is_said scenarios/test_transport.py::test_a_certificate_is_a_login_without_a_password",
    "3 logins and roles": "test_client.py::test_a_wrong_password_is_tried_once scenarios/test_transport.py::test_a_path_that_the_role_lacks_is_named test_least_privilege.py::test_a_role_of_least_privilege_is_enough scenarios/test_every_step.py::test_an_account_of_the_least_privilege_is_enough",
    "4 a new share": "scenarios/test_access.py::test_a_new_share_is_one_call_and_nobody_reaches_it",
    "5 first access": "scenarios/test_access.py::test_the_first_access_is_two_calls",
    "6 change of access": "scenarios/test_access.py::test_a_change_of_access_has_no_gap_and_no_surplus test_exports.py::test_the_first_that_matches_is_the_narrowest",
    "7 equal rules": "scenarios/test_access.py::test_clients_with_one_grant_are_one_rule",
    "8 host bits": "scenarios/test_access.py::test_a_rule_that_cannot_be_is_told_and_the_others_are_active",
    "9 drift": "scenarios/test_access.py::test_what_was_changed_by_hand_shows_and_is_repaired scenarios/test_access.py::test_a_policy_that_others_share_is_left_by_the_volume",
    "10 CIFS": "shares/test_windows.py::test_from_first_to_last_nobody_else_gets_in shares/test_smb.py::test_levels_change_in_place shares/test_smb.py::test_an_account_that_nobody_knows_is_an_error_of_its_rule shares/test_windows.py::test_both_protocols_have_their_own_rules",
    "11 sizes": "scenarios/test_life.py::test_a_share_is_not_shrunk_below_what_is_used scenarios/test_life.py::test_a_file_system_of_fixed_size_is_set_free_first scenarios/test_flexgroups.py::test_a_flexgroup_lives_as_any_share",
    "12 removal": "scenarios/test_life.py::test_a_share_is_removed_in_the_order_that_the_array_takes scenarios/test_life.py::test_a_backend_may_do_without_the_recovery_queue",
    "13 removal cut short": "scenarios/test_life.py::test_a_removal_that_is_cut_is_finished scenarios/test_life.py::test_a_volume_that_was_left_offline_is_removed",
    "14 snapshots": "shares/test_snapshots.py::test_it_is_taken_by_one_call_and_once shares/test_snapshots.py::test_a_name_that_somebody_else_has_is_a_conflict shares/test_snapshots.py::test_one_that_a_clone_is_based_on_stays_and_the_clone_is_named shares/test_snapshots.py::test_the_arrays_own_are_listed_without_an_id",
    "15 clones": "shares/test_making.py::test_a_clone_has_a_policy_and_limits_of_its_own shares/test_making.py::test_a_clone_its_snapshot_and_its_parent_go_in_this_order shares/test_making.py::test_a_clone_is_split_where_its_type_says_so",
    "16 reverts": "shares/test_snapshots.py::test_a_share_goes_back_once_and_keeps_its_size shares/test_snapshots.py::test_a_restore_whose_answer_was_lost_is_not_made_again shares/test_snapshots.py::test_without_a_licence_nothing_is_left_behind",
    "17 import": "scenarios/test_import.py::test_a_whole_svm_is_taken_over_and_the_next_plan_is_empty scenarios/test_odd_neighbours.py::test_each_is_told_apart_from_what_can_be_taken_over",
    "18 a share server": "share_servers/test_servers.py::test_a_server_comes_up_whole_by_few_calls share_servers/test_shares_on_servers.py::test_lifs_on_the_node_of_the_volume_come_first",
    "19 networks on one VLAN": "share_servers/test_servers.py::test_networks_on_one_vlan_share_an_ipspace_and_its_ports share_servers/test_servers.py::test_two_processes_that_begin_with_one_vlan_end_in_one_ipspace",
    "20 killed at each call": "share_servers/test_cut_short.py::test_a_creation_that_was_cut_short_is_finished_or_swept share_servers/test_cut_short.py::test_killed_after_any_change_it_is_finished_by_another_process share_servers/test_killed_applies.py::test_whatever_call_an_apply_is_killed_in_the_next_goes_on scenarios/test_killed_applies.py::test_whatever_call_an_apply_is_ended_in_the_next_goes_on",
    "21 six servers": "share_servers/test_servers.py::test_six_servers_come_up_at_once",
    "22 domains": "share_servers/test_services.py::test_what_the_domain_refuses_is_told_once share_servers/test_services.py::test_an_account_of_that_name_is_overwritten_only_where_told share_servers/test_services.py::test_a_server_joins_a_domain_and_leaves_it share_servers/test_services.py::test_an_account_that_cannot_be_removed_stays_only_where_told",
    "23 teardown": "share_servers/test_servers.py::test_what_was_made_is_removed_without_a_trace share_servers/test_servers.py::test_a_server_with_a_volume_is_not_removed share_servers/test_servers.py::test_what_somebody_else_put_on_the_vlan_stays",
    "24 half a listing": "scenarios/test_transport.py::test_a_listing_is_whole_or_none test_client.py::test_a_listing_that_is_cut_is_none",
    "25 throttling": "scenarios/test_transport.py::test_an_array_that_asks_for_a_pause_is_left_alone scenarios/test_transport.py::test_many_lanes_share_few_connections scenarios/test_pauses.py::test_a_plan_comes_again_when_it_is_told_to",
    "26 lost answers": "scenarios/test_transport.py::test_an_answer_that_is_lost_makes_nothing_twice scenarios/test_access.py::test_a_change_whose_answer_is_lost_converges scenarios/test_every_step.py::test_whichever_call_is_the_last_of_a_process shares/test_snapshots.py::test_an_answer_that_is_lost_makes_no_second_one shares/test_snapshots.py::test_a_removal_whose_answer_is_lost_is_asked_for_again shares/test_making.py::test_a_clone_whose_answer_is_lost_is_made_once share_servers/test_manifests.py::test_an_apply_that_loses_answers_ends_as_if_it_had_not",
    "27 jobs": "scenarios/test_transport.py::test_a_creation_whose_job_fails_is_looked_at scenarios/test_transport.py::test_a_job_whose_record_is_gone_is_not_one_that_failed scenarios/test_transport.py::test_a_job_that_takes_longer_than_anybody_waits_makes_one_volume",
    "28 space": "scenarios/test_life.py::test_an_aggregate_that_filled_up_since_the_plan_is_a_full_pool shares/test_snapshots.py::test_a_volume_without_room_for_a_snapshot_is_left_as_it_is",
    "29 FlexGroups": "shares/test_making.py::test_a_flexgroup_is_laid_over_the_aggregates_of_its_pool scenarios/test_flexgroups.py::test_a_flexgroup_lives_as_any_share test_pools.py::test_a_set_of_aggregates_counts_its_smallest_as_often_as_it_has_some",
    "30 qtrees": "scenarios/test_qtrees.py::test_two_hundred_shares_in_one_volume scenarios/test_qtrees.py::test_a_limit_is_not_lowered_below_what_is_used",
    "31 QoS": "shares/test_making.py::test_limits_for_each_gib_follow_the_size shares/test_making.py::test_an_adaptive_policy_of_that_name_is_nobodys_to_change shares/test_making.py::test_limits_come_before_the_volume_and_go_after_it",
    "32 extra specs": "test_extra_specs.py::test_a_spec_changes_its_field_alone test_extra_specs.py::test_every_spec_with_a_scope_has_been_tried shares/test_validate.py::test_each_spec_is_told_once_at_its_line_with_what_to_write",
    "33 foreign clients": "scenarios/test_clients_of_others.py::test_what_netapps_library_changes_is_seen_and_mended",
    "any status of a refusal": "scenarios/test_transport.py::test_the_status_of_a_refusal_decides_nothing",
    "hostile input": "scenarios/test_transport.py::test_a_hostile_name_reaches_no_path_and_no_query test_client.py::test_no_value_of_a_path_means_more_than_one_object test_client.py::test_values_are_quoted_where_they_stand scenarios/test_hostile.py::test_a_comment_that_is_nearly_ours_makes_no_share scenarios/test_hostile.py::test_no_command_tells_the_password",
}
"""By their numbers and subjects. 34, what a thousand shares cost, is measured by `bench/ontap.py`; NetApp's library and Ansible are let loose in tests/emulators/ontap."""


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_has_the_tests_that_show_it(scenario: str) -> None:
    """Each is there under its name."""
    for place in SCENARIOS[scenario].split():
        path, _, name = place.partition("::")
        assert re.search(rf"^def {name}\(", (HERE / path).read_text(encoding="utf-8"), re.MULTILINE), place


def test_no_scenario_is_left_out() -> None:
    """All have a number but what came later."""
    numbers = {int(each.split(" ")[0]) for each in SCENARIOS if each[0].isdigit()}
    assert numbers == set(range(1, 34))
    assert (ROOT / "bench" / "ontap.py").is_file()
