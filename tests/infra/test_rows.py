"""The checklist of upstream's page (gen3's "Karpenter": 35 statements), and the tests that hold each of them.

`joiner install` and its kin say a row's number themselves; what holds of planning, reading and launching is held beside that code.
"""

import re
import unittest

from rendered import TOP

INSTALL, SIDE = "tests/infra/test_install.py", "functions/joiner/tests/cluster_side.rs"
PAGE = "tests/gen3.rs"
ROWS = {
    1: ("adds and removes instances for pods, no group is scaled", f"{PAGE} row_1_nodes_are_made_for_pods_that_wait_and_no_group_is_scaled"),
    2: ("nodes of the right size", f"{PAGE} row_2_nodes_are_of_the_size_that_the_pods_need"),
    3: ("up and down quickly", f"{PAGE} row_3_hundreds_of_pods_are_one_decision_with_few_nodes"),
    4: ("size and composition are the user's", f"{PAGE} row_4_the_composition_follows_the_pools_requirements"),
    5: ("what it does can be watched", f"{PAGE} row_5_every_decision_has_its_bound_and_every_refusal_its_reason"),
    6: ("access to AWS, and a clear word where it lacks", f"{INSTALL} test_row_6_a_missing_permission_is_named"),
    7: ("an IAM service account, scoped", f"{INSTALL} test_row_7_roles_and_the_functions_user"),
    8: ("without pools nothing is bought", f"{PAGE} row_8_without_a_pool_nothing_is_bought_and_the_pods_are_told"),
    9: ("what terraform makes is looked for", f"{INSTALL} test_row_9_what_is_missing_is_told_with_the_command_that_mends_it"),
    10: ("Cluster Autoscaler goes, after proof", f"{SIDE} from_a_cluster_to_a_scaled_one_and_back"),
    11: ("node configuration is read from the cluster", f"{PAGE} row_11_the_configuration_is_read_from_the_cluster_each_time"),
    12: ("provisioners replace groups", f"{PAGE} rows_12_13_and_14_pools_and_classes_of_the_legacy_kinds_are_taken_and_a_dangling_one_harms_none"),
    13: ("node templates replace launch configurations", f"{PAGE} rows_12_13_and_14_pools_and_classes_of_the_legacy_kinds_are_taken_and_a_dangling_one_harms_none"),
    14: ("one of each at least, that belong together", f"{PAGE} rows_12_13_and_14_pools_and_classes_of_the_legacy_kinds_are_taken_and_a_dangling_one_harms_none"),
    15: ("the most efficient type", f"{PAGE} row_15_the_cheapest_type_that_pod_and_pool_both_allow_is_taken"),
    16: ("one command", f"{INSTALL} test_row_16_one_command_that_plans_first"),
    17: ("step 1, the namespace", f"{SIDE} installs_whenever_it_is_killed"),
    18: ("step 2, the service account", f"{SIDE} installs_whenever_it_is_killed"),
    19: ("step 3, tags", f"{INSTALL} test_row_19_29_tags_of_the_right_subnets_and_groups"),
    20: ("step 4, what is deployed", f"{INSTALL} test_row_20_the_stack_of_the_release"),
    21: ("step 5, pools and classes", f"{SIDE} installs_whenever_it_is_killed"),
    22: ("by the manifest", "shared/install/src/manifest.rs row_22_the_manifest_says_whether_joiner_is_installed"),
    23: ("arm", f"{SIDE} adds_arm_and_takes_it_back"),
    24: ("kubectl edit provisioners", f"{SIDE} keeps_edits"),
    25: ("kubectl edit awsnodetemplates", f"{SIDE} keeps_edits"),
    26: ("a folder of configuration", f"{SIDE} takes_a_folder"),
    27: ("subnets and groups of that VPC", f"{INSTALL} test_row_27_28_another_vpc_with_the_same_names_is_not_touched"),
    28: ("several VPCs in one account", f"{INSTALL} test_row_28_uninstalling_one_leaves_the_other"),
    29: ("the tag's value is the VPC's name, not true", f"{INSTALL} test_row_29_values_of_others_are_told_and_left"),
    30: ("selectors name the VPC", f"{SIDE} installs_whenever_it_is_killed"),
    31: ("two nodes outside its management", "shared/install/src/cluster/webhook.rs row_31_two_replicas_on_two_nodes_that_joiner_does_not_manage"),
    32: ("it does not take itself out", f"{INSTALL} test_row_32_the_functions_answer_without_the_clusters_nodes"),
    33: ("a group of 2/2/2", f"{INSTALL} test_row_33_two_of_two_of_two"),
    34: ("back after the nodes are updated", f"{INSTALL} test_row_34_the_two_nodes_are_replaced_one_at_a_time"),
    35: ("the cluster scales as intended", f"{SIDE} installs_again_without_a_change"),
}


class Rows(unittest.TestCase):
    def test_each_row_has_a_test_that_is_there(self):
        self.assertEqual(sorted(ROWS), list(range(1, 36)))
        for row, (statement, where) in ROWS.items():
            file, name = where.split(" ")
            found = re.search(rf"\b(?:fn|def) {name}\b", (TOP / file).read_text())
            self.assertTrue(found, f"row {row} ({statement}): {name} is not in {file}")

    def test_each_row_that_a_test_names_is_its_own(self):
        for file in (INSTALL, SIDE, PAGE):
            text = (TOP / file).read_text()
            named = {int(row) for rows in re.findall(r"test_row((?:_\d+)+)", text) for row in rows.split("_") if row}
            named |= {int(row) for row in re.findall(r"[Rr]ow (\d+)", text)}
            self.assertLessEqual(named, set(ROWS), file)


if __name__ == "__main__":
    unittest.main()
