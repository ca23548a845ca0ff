-- HAProxy asks Husk about each request with this action. Printed by 'husk proxy
-- config haproxy --lua'. It belongs beside haproxy.cfg, which loads it, and calls it
-- with the address of Husk and the host of Husk's own pages:
--
--     http-request lua.husk 127.0.0.1:9000 auth.example.com

local identity = { "remote-user", "remote-name", "remote-email", "remote-groups" }

-- What Husk looks at. Each is sent as often as it came: what is there twice is
-- refused by Husk.
local shown = {
	"accept", "access-control-request-headers", "access-control-request-method", "authorization",
	"cookie", "origin", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "user-agent", "x-api-token",
}

-- What of a refusal is the client's.
local told = { "content-type", "location", "retry-after", "set-cookie", "www-authenticate" }

-- HAProxy counts values from 0 where Lua counts from 1.
local function values(list)
	local all = {}
	local i = 0
	while list and list[i] do
		all[#all + 1] = list[i]
		i = i + 1
	end
	return all
end

local function question(txn, login)
	local sent = txn.http:req_get_headers()
	local headers = {
		["host"] = { login },
		["x-forwarded-for"] = { txn.sf:src() },
		["x-original-method"] = { txn.sf:method() },
		-- The path is the one that the application gets, nothing in it is mended.
		["x-original-url"] = { txn:get_var("txn.husk_scheme") .. "://" .. txn.sf:req_hdr("host") .. txn.sf:pathq() },
	}
	for _, name in ipairs(shown) do
		local all = values(sent[name])
		if #all > 0 then
			headers[name] = all
		end
	end
	return headers
end

local function answer(txn, status, from, body)
	local reply = txn:reply({ status = status })
	reply:add_header("cache-control", "no-store")
	for _, name in ipairs(told) do
		for _, value in ipairs(values(from[name])) do
			reply:add_header(name, value)
		end
	end
	reply:set_body(body or "")
	txn:done(reply)
end

-- Whatever is not a clear yes is a refusal. An error in here ends the request, too:
-- haproxy.cfg lets nothing pass without txn.husk_allowed.
local function ask(txn, husk, login)
	local r = core.httpclient():get({
		url = "http://" .. husk .. "/api/authz/auth-request",
		headers = question(txn, login),
		timeout = 15000,
	})
	local from = r and r.headers or {}
	if r and r.status == 200 then
		for _, name in ipairs(identity) do
			txn.http:req_set_header(name, (values(from[name])[1] or ""))
		end
		txn:set_var("txn.husk_allowed", true)
	elseif r and r.status == 401 then
		local status = 401
		if from["location"] then
			local method = txn.sf:method()
			status = (method == "GET" or method == "HEAD") and 302 or 303
		end
		answer(txn, status, from, r.body)
	elseif r and r.status == 403 then
		answer(txn, 403, from, r.body)
	else
		answer(txn, 503, {}, "Nobody can be let in at present: Husk does not answer, or does not trust this proxy.\n")
	end
end

core.register_action("husk", { "http-req" }, ask, 2)
