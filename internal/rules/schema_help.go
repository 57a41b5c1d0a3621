package rules

// help is what a key means, as an editor shows it.
func help(key string) string { return helps[key][0] }

// example is one value of a key, or "".
func example(key string) string { return helps[key][1] }

// helps are what keys mean, each with an example.
var helps = map[string][2]string{
	"file": {"A rule file is one trigger: a way in, who may use it, and what its messages mean for doors. A file without trigger: holds tables: and limits: for all other files."},

	"file.trigger":   {"The name of the trigger, and the end of its address: /hooks/NAME.", "skedda"},
	"file.from":      {"How messages are read. json, which it is if left out, reads JSON, XML, forms and query strings alike; kisi reads Kisi's event webhook.", "kisi"},
	"file.auth":      {"Who may call this trigger; required. Any one of a list lets a caller in. Secrets come from the environment.", "- bearer: ${env.DOORHOOK_TOKEN}"},
	"file.allow_ip":  {"Addresses and networks: from any other nobody may call this trigger, whatever auth says.", "[203.0.113.0/24, 2001:db8::1]"},
	"file.alias":     {"A second address of the trigger, for a sender whose address cannot be changed. It answers as Zapier does.", "/hooks/catch/123456/abcdef/"},
	"file.timezone":  {"An IANA time zone: the zone of times that carry none. Without it such a time is a mistake, never UTC.", "America/New_York"},
	"file.id":        {"An expression: the identity of the event. The same one is accepted once, within seven days. Without it, or where it gives nothing: the header Idempotency-Key, else none; of Kisi's events their uuid.", "payload.event_id"},
	"file.booking":   {"An expression: the identity of the booking. All its events change the same job. Default: none, each event stands for itself.", "payload.booking_id"},
	"file.version":   {"An expression: a number or a time that orders the events of a booking; an older one is stale. Default: what arrives last counts.", "payload.updated_at"},
	"file.cancelled": {"An expression: whether the booking is to have nothing. No rule is evaluated then.", `payload.status == "cancelled"`},
	"file.tables":    {"Names with values, for lookups in expressions. Asked for a name it does not have, or for nil, a table gives nil."},
	"file.limits":    {"What no event may go beyond, whatever the rules say. What does grants nothing and becomes a dead letter that says so. Limits of a file without a trigger hold for all; the stricter counts."},
	"file.let":       {"Named values, in order, each an expression that is computed when first used."},
	"file.respond":   {"Extra fields of the answer: text with ${expression} in it. One that cannot be computed is null and fails nothing."},
	"file.rules":     {"The rules. All that match fire."},

	"limits.max_window":        {"The longest window of a schedule or a link. A link without an end is longer than any.", "25h"},
	"limits.max_ahead":         {"How far ahead of the message a window may end, or an at lie.", "400d"},
	"limits.max_doors":         {"How many different doors one event may open; a group counts as one, and may have no more locks than this itself.", "10"},
	"limits.grants_per_minute": {"How many actions a minute all events of the trigger may ask for, repeats that change nothing apart.", "30"},
	"limits.never":             {"Ids of locks that are never opened, also not by way of a group.", "[22290]"},

	"auth.bearer": {"The header Authorization: Bearer SECRET.", "${env.DOORHOOK_TOKEN}"},
	"auth.basic":  {"HTTP basic authorization, a user and a secret.", "zapier:${env.DOORHOOK_TOKEN}"},
	"auth.header": {"A header of your own with a secret.", `{X-Doorhook-Token: "${env.DOORHOOK_TOKEN}"}`},
	"auth.query":  {"A query parameter with a secret: it ends up in logs on the way, so take a header if you can.", `{token: "${env.DOORHOOK_TOKEN}"}`},
	"auth.hmac":   {"A signature of the body: kisi, github, stripe, slack or standard_webhooks, a colon and the key; or keys that say how it is made.", "kisi:${env.KISI_WEBHOOK_KEY}"},
	"auth.alias":  {"Who knows the alias may call this trigger by it.", "true"},
	"auth.none":   {"Anybody may call this trigger.", "true"},

	"hmac.header":    {"The header that has the signature.", "X-Signature"},
	"hmac.prefix":    {"What stands before the signature there.", "sha256="},
	"hmac.encoding":  {"How the signature is written: hex or base64; left out, either."},
	"hmac.timestamp": {"The header that says when it was signed, in seconds since 1970. It takes scheme: timestamp.body.", "X-Timestamp"},
	"hmac.tolerance": {"How old that time may be, and how far ahead; 5m if left out.", "5m"},
	"hmac.scheme":    {"What is signed: body, or timestamp.body, which is the time as it stands in its header, a dot and the body."},
	"hmac.secret":    {"The key.", "${env.KEY}"},

	"rule.name":      {"The name of the rule, unique in the file. What a booking has is kept by it: renaming a rule takes its grants back and makes them anew.", "access link"},
	"rule.when":      {"An expression: true, false, or nil, which is false. Left out, the rule always matches.", "space != nil && payload.email != nil"},
	"rule.each":      {"An expression that gives a list: the rule is repeated for every element, as each.", "payload.spaces"},
	"rule.let":       {"Named values of this rule, each an expression."},
	"rule.at":        {"An expression: when to tell Kisi. Left out, at once.", "start - hours(1)"},
	"rule.expires":   {"When it is too late: a duration after its time, or ${…} that gives a time or a duration. Never later than the window's end.", "5m"},
	"rule.if_unused": {"When what the rule grants is taken back if nobody has come: a duration after the beginning of its window, or ${…} that gives a time or a duration. Needs booking.", "15m"},
	"rule.needs":     {"Environment variables without which this rule is left out: a name, or a list of names.", "ALERT_URL"},
	"rule.do":        {"The actions, one a line."},

	"do.unlock":          {"Opens one lock, for the few seconds that are set at the lock. 60 seconds after its time it is too late."},
	"do.schedule":        {"Keeps locks open for a window. Say where with exactly one of lock_id, lock_ids and group_id."},
	"do.group_link":      {"Mails a link that opens the locks of a group for a window."},
	"do.role_assignment": {"Lets a user open the locks of a group for a window. Say who with exactly one of email and user_id."},
	"do.send":            {"Sends a request to any address, with at most one of json, form and text. A day after its time it is too late."},

	"field.lock_id":                  {"The id of a lock in Kisi.", "${space.lock}"},
	"field.lock_ids":                 {"The ids of several locks in Kisi: one schedule each.", "[22281, 22282]"},
	"field.group_id":                 {"The id of a group in Kisi.", "${space.group}"},
	"field.starts_at":                {"When the window begins; rounded down to the minute.", "${start}"},
	"field.ends_at":                  {"When the window ends; rounded up to the minute.", "${end}"},
	"field.name":                     {"What it is called in Kisi. Default: the booking's id and the trigger's name.", "Booking ${payload.booking_id}"},
	"field.consequence":              {"What the schedule does. unlock keeps the doors open; allow and first_to_arrive are Kisi's own."},
	"field.override":                 {"Whether the schedule goes before other schedules of the lock."},
	"field.email":                    {"Of a group_link where Kisi mails the link to, of a role_assignment whose user it is. If it is given it must not come out empty.", "${payload.email}"},
	"field.phone":                    {"The phone number of the link's holder."},
	"field.valid_from":               {"When the link or the role begins to work; left out, at once.", "${start - minutes(10)}"},
	"field.valid_until":              {"When the link or the role stops to work. Left out, it never does.", "${end}"},
	"field.quick_response_code_type": {"Whether the link has a QR code, and of which kind."},
	"field.link_enabled":             {"Whether the link opens by a tap in the browser."},
	"field.user_id":                  {"The id of a user in Kisi.", "${payload.actor_id}"},
	"field.role_id":                  {"The role that the user gets in the group."},
	"field.notify":                   {"Whether Kisi tells the user by e-mail."},
	"field.url":                      {"Where it is sent: an address that begins with http:// or https://. It may have ${env.NAME} in it, which is put in when it is sent and shown nowhere.", "${env.ALERT_URL}"},
	"field.method":                   {"How it is sent. GET and DELETE take no json, form or text."},
	"field.headers":                  {"Headers with their texts, which may have ${env.NAME} in them. One that is nil is left out.", `{Authorization: "Bearer ${env.ALERT_TOKEN}"}`},
	"field.json":                     {"What is sent, as JSON: any YAML with ${…} in it. One ${…} and nothing else keeps its type, so ${payload} passes all on.", "${payload}"},
	"field.form":                     {"What is sent, as the fields of a form. One that is nil is left out.", `{text: "${payload.name}"}`},
	"field.text":                     {"What is sent, as text.", "${payload.name} is here"},
	"field.sign":                     {"The key to sign with, as Standard Webhooks has it: base64 of 24 to 64 bytes, from `openssl rand -base64 32`.", "${env.ALERT_KEY}"},
}
