-- Asks the gate about a request, and keeps what it says in variables. It hands on the
-- credentials alone.
core.register_action("husk", { "http-req" }, function(txn)
	local came = txn.http:req_get_headers()
	local headers = {
		["x-original-method"] = { txn.f:method() },
		["x-original-url"] = { "http://" .. (came["host"] and came["host"][0] or "") .. txn.f:pathq() },
	}
	for _, name in ipairs({ "x-api-token", "authorization", "cookie", "accept", "sec-fetch-mode" }) do
		local values = {}
		for i = 0, 9 do
			if came[name] and came[name][i] then
				table.insert(values, came[name][i])
			end
		end
		if #values > 0 then
			headers[name] = values
		end
	end
	local said = core.httpclient():get({ url = "http://127.0.0.1:9000/api/authz/auth-request", headers = headers, timeout = 5000 })
	local function keep(name, header)
		if said.headers and said.headers[header] then
			txn:set_var("txn." .. name, said.headers[header][0])
		end
	end
	txn:set_var("txn.husk_status", said.status)
	keep("husk_location", "location")
	keep("husk_user", "remote-user")
	keep("husk_name", "remote-name")
	keep("husk_email", "remote-email")
	keep("husk_groups", "remote-groups")
end)
