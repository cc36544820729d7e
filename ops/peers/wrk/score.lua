-- What wrk sends to an agent and what it says in the end; run.sh beside this starts it.
--
-- Every payment is new: an id of the process's start and a count, in letters and few digits, so
-- that none looks like a card number. 5,000 cards, 800 outlets; amounts from 3 to 300.

local cards, outlets = 5000, 800
local begun, count, thread = 0, 0, 0
local threads = 0

function setup(each)
  each:set("thread", threads)
  threads = threads + 1
end

function init(arguments)
  begun = os.time()
  math.randomseed(begun + thread)
  wrk.method = "POST"
  wrk.path = "/v1/score"
  wrk.headers["content-type"] = "application/json"
  local token = os.getenv("PHALANX_TOKEN")
  if token then
    wrk.headers["authorization"] = "Bearer " .. token
  end
end

function request()
  count = count + 1
  local card = math.random(cards)
  local body = string.format(
    '{"txn":{"txn_id":"w%x-%d-%x","ts":%d,"rail":"card","amount_minor":%d,"currency":"EUR",'
      .. '"account_tok":"acct%d","card_tok":"card%d","terminal_tok":"term%d","mcc":5411}}',
    begun, thread, count, os.time() * 1000, 300 + math.random(29700), card, card,
    math.random(outlets))
  return wrk.format(nil, nil, nil, body)
end

function done(summary, latency)
  local errors = summary.errors
  local seconds = summary.duration / 1e6
  io.write(string.format(
    '{"requests":%d,"rps":%.0f,"p50_ms":%.2f,"p99_ms":%.2f,"p999_ms":%.2f,"refused":%d,'
      .. '"broken":%d}\n',
    summary.requests, summary.requests / seconds, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
