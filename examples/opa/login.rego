# May this person log in to this database as this role? pgbearer asks for data.pgbearer.login; what the input holds is in
# docs/deciders/opa.md. Undefined counts as a no, so a policy that is not loaded lets nobody in.
package pgbearer

# The answer repeats the question's id: without it a yes is not believed.
login := {"allow": allow, "id": input.id, "reason": reason}

default allow := false

allow if {
	has_the_role
	not_in_maintenance
	not agent_writes
}

has_the_role if input.request.role in input.token.roles

# "every" is undefined, and so lets nobody in, where there is no list at all; "not ... in" would let everybody in.
not_in_maintenance if {
	every database in data.maintenance {
		database != input.request.database
	}
}

# An agent may read for the person that it acts for, and no more.
agent_writes if {
	input.actor.present
	input.request.role != "app_readonly"
}

# For the audit and `pgbearer explain`.
default reason := "maintenance, or no list of it"

reason := sprintf("the token lacks the role %s", [input.request.role]) if {
	not has_the_role
} else := "agents only read" if {
	agent_writes
} else := sprintf("%s has the role %s", [input.token.identity, input.request.role]) if {
	not_in_maintenance
}
