-- wrk: compares the body of every response with the file named by the first argument.
local threads = {}

function setup(thread) table.insert(threads, thread) end

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  expected = file:read("*a")
  checked, wrong = 0, 0
end

function response(status, headers, body)
  checked = checked + 1
  if status ~= 200 or body ~= expected then wrong = wrong + 1 end
end

function done()
  local all, bad = 0, 0
  for _, thread in ipairs(threads) do
    all, bad = all + thread:get("checked"), bad + thread:get("wrong")
  end
  io.write(string.format("checked %d wrong %d\n", all, bad))
end
