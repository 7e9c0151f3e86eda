-- The load of mlflow.py, as a wrk script: `wrk … -s load.lua URL -- WORK ARGS…`.
-- batch RUN…     log-batch of 1000 metrics, a different set of points every time
-- single RUN…    log-metric, one point
-- filter EXP     search: filter by metric and param, order by metric, page of 100; the bound varies
-- order EXP      search: order by a metric alone, page of 100
-- history RUN    get-history of the metric "loss", all points
-- interval RUN   get-history-bulk-interval of "loss", thinned to 320
-- fill EXP N     each thread makes N runs with 10 metrics and 10 params, then prints FILLED

local API = "/api/2.0/mlflow/"
local JSON = { ["Content-Type"] = "application/json" }
local RATES = { "0.1", "0.01", "0.001", "0.0001" }
local works, request_of = {}, nil
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init(args)
  local work = table.remove(args, 1)
  math.randomseed(number or 1)
  request_of = works[work](args)
end

function request()
  return request_of()
end

local function post(path, body)
  return wrk.format("POST", API .. path, JSON, body)
end

-- Only the counter changes between two batches, so a body is one concat: wrk stays far from being the limit.
-- Each point's timestamp is 17<counter>0<ddd> ms and its step <counter><dd>: 10 keys, 100 steps, 1000 points.
function works.batch(runs)
  local pieces, before = {}, '","metrics":['
  for i = 0, 999 do
    pieces[#pieces + 1] = string.format('%s{"key":"m%d","value":%.6f,"timestamp":17', before, i % 10, math.random())
    pieces[#pieces + 1] = string.format('%05d,"step":', i)
    before = string.format('%02d},', math.floor(i / 10))
  end
  pieces[#pieces + 1] = before:sub(1, -2) .. "]}"
  local n = 100000
  return function()
    n = n + 1
    return post("runs/log-batch", '{"run_id":"' .. runs[n % #runs + 1] .. table.concat(pieces, tostring(n)))
  end
end

function works.single(runs)
  local n = 0
  return function()
    n = n + 1
    local body = '{"run_id":"%s","key":"loss","value":%.6f,"timestamp":%d,"step":%d}'
    return post("runs/log-metric", body:format(runs[n % #runs + 1], math.random(), 1700000000000 + n, n))
  end
end

function works.filter(args)
  local body = '{"experiment_ids":["%s"],"run_view_type":"ACTIVE_ONLY","max_results":100,'
    .. '"filter":"metrics.acc > %.6f and params.lr = \'%s\'","order_by":["metrics.acc DESC"]}'
  return function()
    return post("runs/search", body:format(args[1], 0.7 + 0.2 * math.random(), RATES[math.random(4)]))
  end
end

function works.order(args)
  local body = '{"experiment_ids":["%s"],"run_view_type":"ACTIVE_ONLY","max_results":100,"order_by":["metrics.acc DESC"]}'
  return function()
    return post("runs/search", body:format(args[1]))
  end
end

function works.history(args)
  local path = API .. "metrics/get-history?metric_key=loss&run_id=" .. args[1]
  return function()
    return wrk.format("GET", path)
  end
end

function works.interval(args)
  local path = API .. "metrics/get-history-bulk-interval?metric_key=loss&max_results=320&run_ids=" .. args[1]
  return function()
    return wrk.format("GET", path)
  end
end

-- One connection a thread: a create, then the batch of the run that came back.
function works.fill(args)
  local experiment, left, run = args[1], tonumber(args[2]), nil
  local function values()
    local metrics, params = {}, { '{"key":"lr","value":"' .. RATES[math.random(4)] .. '"}' }
    for i, key in ipairs({ "acc", "loss", "m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7" }) do
      metrics[i] = string.format('{"key":"%s","value":%.6f,"timestamp":1700000000000,"step":0}', key, math.random())
    end
    for i = 0, 8 do
      params[#params + 1] = string.format('{"key":"p%d","value":"%d"}', i, math.random(0, 9))
    end
    return table.concat(metrics, ","), table.concat(params, ",")
  end
  function response(status, _, body)
    if status ~= 200 then
      io.write("FAILED " .. status .. " " .. body:sub(1, 200) .. "\n")
      io.flush()
      wrk.thread:stop()
    elseif not run then
      run = body:match('"run_id"%s*:%s*"(%x+)"')
    else
      run, left = nil, left - 1
      if left == 0 then
        io.write("FILLED\n")
        io.flush()
        wrk.thread:stop()
      end
    end
  end
  return function()
    if run then
      local metrics, params = values()
      return post("runs/log-batch", string.format('{"run_id":"%s","metrics":[%s],"params":[%s]}', run, metrics, params))
    end
    local body = '{"experiment_id":"%s","run_name":"run-%d-%d","start_time":%d}'
    return post("runs/create", body:format(experiment, number, left, 1700000000000 + left * 1000 + number))
  end
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format('RESULT {"per_s":%.3f,"n":%d,"p50_ms":%.4f,"p99_ms":%.4f,"max_ms":%.4f,"errors":%d}\n',
    summary.requests / (summary.duration / 1e6), summary.requests, latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, latency.max / 1000, e.connect + e.read + e.write + e.status + e.timeout))
end
