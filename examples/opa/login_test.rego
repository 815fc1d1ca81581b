# opa test examples/opa
package pgbearer_test

import data.pgbearer

asked(changes) := object.union(
	{
		"version": 1,
		"id": "d1",
		"request": {"database": "appdb", "role": "app_readonly"},
		"token": {"identity": "demo:u1", "roles": ["app_readonly"]},
		"actor": {"present": false, "name": "", "subject": ""},
		"claims": {},
	},
	changes,
)

test_reader_reads if {
	said := pgbearer.login with input as asked({})
	said == {"allow": true, "id": "d1", "reason": "demo:u1 has the role app_readonly"}
}

test_reader_does_not_write if {
	said := pgbearer.login with input as asked({"request": {"role": "app_readwrite"}})
	said == {"allow": false, "id": "d1", "reason": "the token lacks the role app_readwrite"}
}

test_nobody_is_let_in_during_maintenance if {
	said := pgbearer.login with input as asked({"request": {"database": "payroll"}})
	not said.allow
}

test_nobody_is_let_in_without_the_list if {
	said := pgbearer.login with input as asked({}) with data.maintenance as null
	not said.allow
}

test_agent_reads if {
	said := pgbearer.login with input as asked({"actor": {"present": true}})
	said.allow
}

test_agent_does_not_write if {
	said := pgbearer.login with input as asked({
		"request": {"role": "app_readwrite"},
		"token": {"roles": ["app_readwrite"]},
		"actor": {"present": true},
	})
	said == {"allow": false, "id": "d1", "reason": "agents only read"}
}

test_no_question_no_answer if {
	not pgbearer.login with input as {}
}
