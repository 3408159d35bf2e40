-- wrk: puts the file named by the first argument, and expects 201 or 204 each time.
local threads = {}

function setup(thread) table.insert(threads, thread) end

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  local body = file:read("*a")
  message = wrk.format("PUT", nil, { ["Content-Length"] = #body }, body)
  checked, wrong = 0, 0
end

function request() return message end

function response(status)
  checked = checked + 1
  if status ~= 201 and status ~= 204 then wrong = wrong + 1 end
end

function done()
  local all, bad = 0, 0
  for _, thread in ipairs(threads) do
    all, bad = all + thread:get("checked"), bad + thread:get("wrong")
  end
  io.write(string.format("checked %d wrong %d\n", all, bad))
end
