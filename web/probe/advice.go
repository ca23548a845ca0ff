package probe

import "strings"

// topic is what a failure is about, and so which lines mend it.
type topic int

const (
	topicGate topic = iota
	topicSignIn
	topicToken
	topicIdentity
	topicSpelling
	topicForwarded
	topicPath
	topicConnection
	topicDoubled
	topicRedirect
	topicRequest
	topicUpstream
)

// advise returns the lines to add for a proxy; those of all where it is not known. What
// is the same for each stands under "".
func advise(about topic, proxy string) string {
	lines := advice[about]
	if text := lines[""]; text != "" {
		return text
	}
	if proxy != "" {
		return lines[proxy]
	}
	var all []string
	for _, name := range Proxies {
		all = append(all, "# "+name+"\n"+lines[name])
	}
	return strings.Join(all, "\n")
}

const huskMends = "# Husk's own proxy does this by itself: see that it is the one that answers, and that it is no older than this husk"

// advice has the lines by topic and proxy. They are those that 'husk proxy config'
// prints, as far as they are about the topic; a line without a value of its own is a
// remark in the proxy's form.
var advice = map[topic]map[string]string{
	topicGate: {
		"nginx": `# in the location of the application, and in each location beside it:
auth_request /_husk;`,
		"caddy": `# in a route block, before reverse_proxy; without it the order of Caddy decides:
forward_auth 127.0.0.1:9000 {
	uri /api/authz/forward-auth
	copy_headers Remote-User Remote-Name Remote-Email Remote-Groups
}`,
		"traefik": `# on each router of the application:
middlewares: [husk]`,
		"haproxy": `# in the frontend, before use_backend; the action is printed by 'husk proxy config haproxy':
http-request lua.husk 127.0.0.1:9000 auth.example.com
http-request deny deny_status 403 unless { var(txn.husk_allowed) -m bool }`,
		"envoy": `# the first of http_filters, with failure_mode_allow: false:
- name: envoy.filters.http.ext_authz`,
		"husk": `# the first rule that fits this URL, in the configuration file of Husk; not public:
require: any`,
	},
	topicSignIn: {
		"nginx": `# beside auth_request, so that the gate's Location becomes a redirect for browsers:
auth_request_set $husk_location $upstream_http_location;
error_page 401 = @husk_sign_in;`,
		"caddy": `# forward_auth hands on all of the gate's answer: see that it is Husk's
forward_auth 127.0.0.1:9000 {
	uri /api/authz/forward-auth
}`,
		"traefik": `# forwardAuth hands on all of the gate's answer: see that it is Husk's
address: http://127.0.0.1:9000/api/authz/forward-auth`,
		"haproxy": `# behind the action, which sets the variable from the gate's Location:
http-request redirect location %[var(txn.husk_location)] code 302 if { var(txn.husk_location) -m found }`,
		"envoy": `# in ext_authz, so that the sign-in gets to the client:
allowed_client_headers: { patterns: [{ exact: location }, { exact: www-authenticate }, { exact: set-cookie }] }`,
		"husk": `# in the configuration file of Husk, at gate:
login_url: https://auth.example.com`,
	},
	topicToken: {"": `# find out why the gate refuses it, and whether the proxy hands X-API-TOKEN to the gate:
husk rule test --url URL --token-file FILE`},
	topicIdentity: {
		"nginx": `# in the location with proxy_pass, all four; a header without a line is the client's:
auth_request_set $husk_user $upstream_http_remote_user;
auth_request_set $husk_name $upstream_http_remote_name;
auth_request_set $husk_email $upstream_http_remote_email;
auth_request_set $husk_groups $upstream_http_remote_groups;
proxy_set_header Remote-User $husk_user;
proxy_set_header Remote-Name $husk_name;
proxy_set_header Remote-Email $husk_email;
proxy_set_header Remote-Groups $husk_groups;`,
		"caddy": `# in the route block; without the first line what the gate's answer lacks stays the client's:
request_header -Remote-*
forward_auth 127.0.0.1:9000 {
	uri /api/authz/forward-auth
	copy_headers Remote-User Remote-Name Remote-Email Remote-Groups
}`,
		"traefik": `# in forwardAuth:
authResponseHeaders: [Remote-User, Remote-Name, Remote-Email, Remote-Groups]`,
		"haproxy": `# behind the action: the client's go, and what the gate has said comes
http-request del-header remote- -m beg
http-request set-header Remote-User %[var(txn.husk_user)]
http-request set-header Remote-Name %[var(txn.husk_name)]
http-request set-header Remote-Email %[var(txn.husk_email)]
http-request set-header Remote-Groups %[var(txn.husk_groups)]`,
		"envoy": `# in ext_authz, which then puts the gate's in the place of the client's:
allowed_upstream_headers: { patterns: [{ exact: remote-user }, { exact: remote-name }, { exact: remote-email }, { exact: remote-groups }] }
# in the route_config:
request_headers_to_remove: [remote-user, remote-name, remote-email, remote-groups]`,
		"husk": huskMends,
	},
	topicSpelling: {
		"nginx": `# in http or server (the default), and nowhere the contrary:
underscores_in_headers off;
ignore_invalid_headers on;`,
		"caddy": `# in the route block, before forward_auth:
request_header -Remote_*
request_header -Remote.*`,
		"traefik": `# in the rule of the router (v3):
&& !HeaderRegexp(` + "`Remote_User`, `.*`) && !HeaderRegexp(`Remote_Groups`, `.*`)",
		"haproxy": `# in the frontend, before the action:
http-request del-header ^remote[_.] -m reg`,
		"envoy": `# in the HttpConnectionManager:
common_http_protocol_options: { headers_with_underscores_action: REJECT_REQUEST }`,
		"husk": huskMends,
	},
	topicForwarded: {
		"nginx": `# in the location with proxy_pass; $proxy_add_x_forwarded_for keeps what the client made up:
proxy_set_header X-Forwarded-For $remote_addr;
proxy_set_header X-Forwarded-Host $host;
proxy_set_header X-Forwarded-Proto $scheme;
proxy_set_header X-Real-IP $remote_addr;
proxy_set_header Forwarded "";
proxy_set_header X-Original-URL "";
proxy_set_header X-Rewrite-URL "";`,
		"caddy": `# in reverse_proxy; trusted_proxies names no network that clients are in:
header_up X-Real-IP {remote_host}
header_up -Forwarded
header_up -X-Original-URL
header_up -X-Rewrite-URL`,
		"traefik": `# at the entrypoint: no insecure: true, and in trustedIPs nobody but a proxy before this one
forwardedHeaders: { trustedIPs: [] }
# in a headers middleware:
customRequestHeaders: { Forwarded: "", X-Original-URL: "", X-Rewrite-URL: "" }`,
		"haproxy": `# in the frontend; option forwardfor only adds to what the client made up:
http-request set-header X-Forwarded-For %[src]
http-request set-header X-Forwarded-Host %[req.hdr(host)]
http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
http-request set-header X-Real-IP %[src]
http-request del-header Forwarded
http-request del-header X-Original-URL
http-request del-header X-Rewrite-URL`,
		"envoy": `# in the HttpConnectionManager of what faces clients:
use_remote_address: true
# in the route_config:
request_headers_to_remove: [forwarded, x-forwarded-host, x-real-ip, x-original-url, x-rewrite-url]`,
		"husk": huskMends,
	},
	topicPath: {
		"nginx": `# in server, so that no location is without it, and off in the gate's own alone:
auth_request /_husk;
# the gate is asked about the raw target, which a proxy_pass without a path hands on unchanged:
proxy_set_header X-Original-URL $scheme://$host$request_uri;   # in location /_husk
proxy_pass http://127.0.0.1:3000;`,
		"caddy": `# forward_auth for all paths, in a route block and before any uri or rewrite directive:
forward_auth 127.0.0.1:9000 {
	uri /api/authz/forward-auth
}`,
		"traefik": `# the gate's middleware first, before stripPrefix and replacePath:
middlewares: [husk]`,
		"haproxy": `# in the frontend, before the action, which hands the raw target to the gate:
http-request deny deny_status 400 if { path -m reg -i (//|/\.\.|;|%2e|%2f|%5c|%00|%25) }`,
		"envoy": `# in the HttpConnectionManager, so that the gate and the application get the path as it came:
normalize_path: false
merge_slashes: false
path_with_escaped_slashes_action: REJECT_REQUEST`,
		"husk": huskMends,
	},
	topicConnection: {
		"nginx": `# in the location with proxy_pass; nginx itself drops nothing that Connection names:
proxy_set_header Connection "";`,
		"caddy": `# in the route block, before forward_auth: Caddy drops what Connection names, also what the gate has set
@named header_regexp Connection (?i)(remote-|x-forwarded-|x-api-token|authorization|cookie)
respond @named 400`,
		"traefik": `# in the rule of the router (v3), and 3.1.3, 2.11.9 or newer:
&& !HeaderRegexp(` + "`Connection`, `(?i)(remote-|x-forwarded-|x-api-token|authorization|cookie)`)",
		"haproxy": `# in the frontend, before the action:
http-request deny deny_status 400 if { req.hdr(connection) -m reg -i (remote-|x-forwarded-|x-api-token|authorization|cookie) }`,
		"envoy": `# the first route, before that of the application:
- match: { prefix: "/", headers: [{ name: connection, string_match: { safe_regex: { regex: "(?i).*(remote-|x-forwarded-|x-api-token|authorization|cookie).*" } } }] }
  direct_response: { status: 400 }`,
		"husk": huskMends,
	},
	topicDoubled: {
		"nginx": `# in location /_husk: hand on all headers as they came, so that the gate sees both
proxy_pass_request_headers on;`,
		"caddy":   `# in forward_auth: no header_up that sets or replaces Authorization or X-API-TOKEN, so that the gate sees both`,
		"traefik": `# in forwardAuth: no authRequestHeaders, so that the gate sees both`,
		"haproxy": `# in the frontend, before the action:
http-request deny deny_status 400 if { req.hdr_cnt(authorization) gt 1 }
http-request deny deny_status 400 if { req.hdr_cnt(x-api-token) gt 1 }
http-request deny deny_status 400 if { req.hdr_cnt(host) gt 1 }`,
		"envoy": `# in ext_authz, so that the gate sees what came:
allowed_headers: { patterns: [{ exact: authorization }, { exact: x-api-token }, { exact: cookie }] }`,
		"husk": huskMends,
	},
	topicRedirect: {
		"nginx": `# in location /_husk: the host that was asked for, and nothing of what the client forwards
proxy_set_header X-Original-URL $scheme://$host$request_uri;
# and a rule of Husk for each host, so that no other is one to come back to:
# host: app.example.com`,
		"caddy": `# a site block with the host's name, and a rule of Husk for that host, so that no other is one to come back to:
# host: app.example.com`,
		"traefik": `# in the rule of the router, and at the entrypoint no forwardedHeaders.insecure:
rule: Host(` + "`app.example.com`)",
		"haproxy": `# in the frontend, before the action:
http-request deny deny_status 421 unless { req.hdr(host),host_only,lower app.example.com }
http-request del-header X-Forwarded-Host`,
		"envoy": `# in the route_config, in the place of "*":
domains: [app.example.com]`,
		"husk": `# a rule for each host in the configuration file of Husk, so that no other is one to come back to:
host: app.example.com`,
	},
	topicRequest: {"": `# update the proxy: it takes a request whose length is told twice (RFC 9112, 6.3), by which one request can hide in another`},
	topicUpstream: {"": `# let the application listen for the proxy alone, on loopback or a Unix socket, and not on all addresses:
127.0.0.1:3000
# where it can't, a firewall on its machine (nftables), with the address of the proxy:
tcp dport 3000 ip saddr != 10.0.0.2 drop`},
}
